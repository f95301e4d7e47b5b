"""The fifteen pitfalls of tuning that cost people their models, a test each, named by its number.

 1 padding that is also the stop token         test_data
 2 the stop token outside the mask             test_data
 3 padding among the ends of an answer         test_weights
 4 another role learnt, or the mask shifted    test_data
 5 a prompt tokenized apart from its answer    test_data
 6 the first token twice, or not at all        test_weights
 7 packed rows that see each other             test_step
 8 accumulation that weighs batches            test_step
 9 a loss that is not the model's              test_step
10 answers cut off                             test_data
11 a resumed run that is another               test_step
12 merged weights that are not the trained     test_weights
13 a GGUF with other ids or another template   test_weights
14 an evaluation that grows or disturbs        test_step
15 nothing trained, settings nobody reads      test_step

Each on a Llama, a Qwen2, a Gemma 2 and a Gemma 3 of random norms and biases, with the template and
the special tokens of its kind, padding being the stop token: see `families`.
"""
