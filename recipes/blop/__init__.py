"""The Blop data set: pairs, raw corpus, held-out prompts, agreement with the compiler."""
