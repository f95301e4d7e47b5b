"""The embedded base: its corpus, its tokenizer, its pretraining, its evaluation."""
