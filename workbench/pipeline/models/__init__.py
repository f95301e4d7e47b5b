"""Random models of a few million weights, in the shape of the models that presets name.

    cards.py        what is particular to each family: its configuration, its tokens, its template
    vocabulary.py   tokenizers of each family's kind, trained on the spot on the texts that ship
    make.py         the folder in Hugging Face layout

Invariant: the same name gives the same bytes on the same machine, so a run can be resumed.
"""
