"""The prepare stage: rows to sequences of token ids."""
