"""Sample data for the preset bbj-qwen2.5-coder: BBj programs and what is asked about them.

    python -m recipes.bbj data/bbj

Written for the workbench in the forms that a team with such a language has them: raw programs for
continued pretraining, Markdown examples with front matter, and chat rows. No BBj compiler has seen
them; a real project brings its own.
"""
