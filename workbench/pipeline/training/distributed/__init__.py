"""Several processes that train one stage: started here, or by torchrun on many machines."""
