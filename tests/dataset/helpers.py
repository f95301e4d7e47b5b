"""Chat templates of the styles that models have, and small tokenizers that fit them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)
from tokenizers import trainers as tokenizer_trainers

from workbench.dataset.rows import Message, Place, Row
from workbench.tokenization.chat_template import ChatTemplate, built_in
from workbench.tokenization.conversations import encode_conversations
from workbench.tokenization.encoder import EncodedSplit, Encoder, OverlengthPolicy
from workbench.tokenization.encoding_stats import EncodingStats
from workbench.tokenization.tokenizer import BackendTokenizer, from_backend
from workbench.tokenization.tokenizer import Tokenizer as AnyTokenizer

SPECIAL = [
    "<unk>",
    "<s>",
    "</s>",
    "<bos>",
    "<eos>",
    "<|im_start|>",
    "<|im_end|>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<|begin_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "[INST]",
    "[/INST]",
    "<|user|>",
    "<|assistant|>",
    "<|system|>",
]
TAKING_IN = SPECIAL[-3:]
TEXTS = [
    "Write a component that shows a list of users with their name and email.",
    "def UserList(attributes) {\n  <ul>\n    for user in attributes.users {\n  }\n}\n\n",
    "The quick brown fox jumps over the lazy dog; größer als ein Vogel. ### Response:\n",
]

CHATML = built_in("chatml")
QWEN = (  # a default system message, and a reasoning block that is dropped from past turns
    "{%- if messages[0]['role'] != 'system' %}{{- '<|im_start|>system\nYou help.<|im_end|>\n' }}"
    "{%- endif %}{%- set ns = namespace(last=-1) %}{%- for message in messages %}"
    "{%- if message.role == 'user' %}{%- set ns.last = loop.index0 %}{%- endif %}{%- endfor %}"
    "{%- for message in messages %}{{- '<|im_start|>' + message.role + '\n' }}"
    "{%- if message.role == 'assistant' and loop.index0 > ns.last %}"
    "{{- '<think>\n\n</think>\n\n' }}{%- endif %}"
    "{{- message.content + '<|im_end|>' + '\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
)
GEMMA = (  # without a system role
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for message in messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/...') }}{% endif %}"
    "{% if (message['role'] == 'assistant') %}{% set role = 'model' %}"
    "{% else %}{% set role = message['role'] %}{% endif %}"
    "{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}"
)
LLAMA3 = (
    "{% set loop_messages = messages %}{% for message in loop_messages %}"
    "{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'"
    "+ message['content'] | trim + '<|eot_id|>' %}"
    "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}"
    "{{ content }}{% endfor %}"
    "{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
MISTRAL = (  # ignores add_generation_prompt
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ ' ' + message['content'] + eos_token }}"
    "{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}"
    "{% endfor %}"
)
ZEPHYR = (
    "{% for message in messages %}\n{% if message['role'] == 'user' %}\n"
    "{{ '<|user|>\n' + message['content'] + eos_token }}\n"
    "{% elif message['role'] == 'system' %}\n"
    "{{ '<|system|>\n' + message['content'] + eos_token }}\n"
    "{% elif message['role'] == 'assistant' %}\n"
    "{{ '<|assistant|>\n'  + message['content'] + eos_token }}\n{% endif %}\n"
    "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n"
    "{% endfor %}"
)
PHI = (  # role tokens without line breaks, `{% generation %}` for other trainers
    "{{ bos_token }}{% for message in messages %}{{ '<|' + message['role'] + '|>' }}"
    "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] + eos_token }}"
    "{% endgeneration %}{% else %}{{ message['content'] + eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)

DEEPSEEK = (  # the system's words without a role, reasoning dropped after `</think>`
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ message['content'] }}{% endif %}{% endfor %}"
    "{% for message in messages %}{% if message['role'] == 'user' %}"
    "{{ '<|user|>' + message['content'] }}{% elif message['role'] == 'assistant' %}"
    "{% set content = message['content'] %}{% if '</think>' in content and not loop.last %}"
    "{% set content = content.split('</think>')[-1] %}{% endif %}"
    "{{ '<|assistant|>' + content + eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
QWEN3 = (  # tools, calls and their answers, reasoning only after the last question
    "{%- if tools %}{{- '<|im_start|>system\n' }}{%- if messages[0].role == 'system' %}"
    "{{- messages[0].content + '\n\n' }}{%- endif %}{{- '<tools>' }}{%- for tool in tools %}"
    "{{- '\n' + (tool | tojson) }}{%- endfor %}{{- '\n</tools><|im_end|>\n' }}"
    "{%- elif messages[0].role == 'system' %}"
    "{{- '<|im_start|>system\n' + messages[0].content + '<|im_end|>\n' }}{%- endif %}"
    "{%- set ns = namespace(last=-1) %}{%- for message in messages %}"
    "{%- if message.role == 'user' %}{%- set ns.last = loop.index0 %}{%- endif %}{%- endfor %}"
    "{%- for message in messages %}{%- if message.role == 'user' %}"
    "{{- '<|im_start|>user\n' + message.content + '<|im_end|>\n' }}"
    "{%- elif message.role == 'assistant' %}{{- '<|im_start|>assistant\n' }}"
    "{%- if loop.index0 > ns.last and message.reasoning_content %}"
    "{{- '<think>\n' + message.reasoning_content + '\n</think>\n\n' }}{%- endif %}"
    "{{- message.content }}{%- for call in message.tool_calls or [] %}"
    "{{- '\n<tool_call>\n' + (call.function | tojson) + '\n</tool_call>' }}{%- endfor %}"
    "{{- '<|im_end|>\n' }}{%- elif message.role == 'tool' %}"
    "{%- if messages[loop.index0 - 1].role != 'tool' %}{{- '<|im_start|>user' }}{%- endif %}"
    "{{- '\n<tool_response>\n' + message.content + '\n</tool_response>' }}"
    "{%- if loop.last or loop.nextitem.role != 'tool' %}{{- '<|im_end|>\n' }}{%- endif %}"
    "{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
)
CHATML_MARKED = (  # as trainers mark the assistant's words for `return_assistant_tokens_mask`
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}{% if m.role == 'assistant' %}"
    "{% generation %}{{ m.content + '<|im_end|>' }}{% endgeneration %}{{ '\n' }}"
    "{% else %}{{ m.content + '<|im_end|>\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA3_MARKED = (
    "{{ bos_token }}{% for m in messages %}"
    "{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\n\n' }}"
    "{% if m.role == 'assistant' %}{% generation %}{{ m.content | trim + '<|eot_id|>' }}"
    "{% endgeneration %}{% else %}{{ m.content | trim + '<|eot_id|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)

# name -> (source, bos, eos, the token that ends the assistant's turn)
STYLES: dict[str, tuple[str, str, str, str]] = {
    "chatml": (CHATML, "", "<|im_end|>", "<|im_end|>"),
    "gemma": (GEMMA, "<bos>", "<eos>", "<end_of_turn>"),
    "gemma-built-in": (built_in("gemma"), "<bos>", "<eos>", "<end_of_turn>"),
    "llama3": (LLAMA3, "<|begin_of_text|>", "<|eot_id|>", "<|eot_id|>"),
    "llama3-built-in": (built_in("llama3"), "<|begin_of_text|>", "<|eot_id|>", "<|eot_id|>"),
    "mistral": (MISTRAL, "<s>", "</s>", "</s>"),
    "zephyr": (ZEPHYR, "<s>", "</s>", "</s>"),
    "phi": (PHI, "<s>", "</s>", "</s>"),
    "alpaca-built-in": (built_in("alpaca"), "<s>", "</s>", "</s>"),
    "qwen": (QWEN, "", "<|im_end|>", "<|im_end|>"),
    "qwen3": (QWEN3, "", "<|im_end|>", "<|im_end|>"),
    "deepseek": (DEEPSEEK, "<s>", "</s>", "</s>"),
    "chatml-marked": (CHATML_MARKED, "", "<|im_end|>", "<|im_end|>"),
    "llama3-marked": (LLAMA3_MARKED, "<|begin_of_text|>", "<|eot_id|>", "<|eot_id|>"),
}
MARKED = ("phi", "chatml-marked", "llama3-marked")  # with `{% generation %}`
REFUSES_SYSTEM = ("gemma", "mistral")


def template(style: str) -> ChatTemplate:
    source, bos, eos, _ = STYLES[style]
    return ChatTemplate(source, bos, eos, style)


def stop_id(style: str, tokenizer: BackendTokenizer) -> int:
    return tokenizer.special_tokens[STYLES[style][3]]


@cache
def byte_level(bos_token: str = "") -> BackendTokenizer:
    """Byte-level BPE with every special token; puts BOS first where a name is given."""
    return from_backend(byte_level_backend(bos_token))


def byte_level_backend(bos_token: str = "") -> Tokenizer:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = tokenizer_trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(TEXTS * 4, trainer)
    if bos_token:
        number = backend.token_to_id(bos_token)
        backend.post_processor = processors.TemplateProcessing(
            single=f"{bos_token} $A", special_tokens=[(bos_token, number)]
        )
    return backend


@cache
def sentencepiece_like() -> BackendTokenizer:
    """As Gemma's: spaces become one letter, no pre-tokenizer, so tokens may span a seam."""
    backend = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    backend.normalizer = normalizers.Replace(" ", "▁")
    backend.pre_tokenizer = pre_tokenizers.Split(Regex("\n+"), "merged_with_previous")
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    fallback = [f"<0x{number:02X}>" for number in range(256)]
    trainer = tokenizer_trainers.BpeTrainer(
        vocab_size=700, special_tokens=[*SPECIAL, *fallback], show_progress=False
    )
    backend.train_from_iterator(TEXTS * 4, trainer)
    plain = from_backend(backend)
    special = {name: plain.special_tokens[name] for name in SPECIAL}
    return BackendTokenizer(backend, None, special)


@cache
def metaspace(prepend: str = "first") -> BackendTokenizer:
    """As Llama-2's and Phi-3's: a space before words, role tokens that take in white space."""
    backend = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=prepend)
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    fallback = [f"<0x{number:02X}>" for number in range(256)]
    taking_in = [AddedToken(name, rstrip=True, normalized=False) for name in TAKING_IN]
    trainer = tokenizer_trainers.BpeTrainer(
        vocab_size=800,
        special_tokens=[*SPECIAL[:-3], *taking_in, *fallback],
        show_progress=False,
    )
    backend.train_from_iterator(TEXTS * 4, trainer)
    known = from_backend(backend).special_tokens
    return BackendTokenizer(backend, None, {name: known[name] for name in SPECIAL})


def chat(*contents: str, place: Place | None = None, system: str = "") -> Row:
    """A row of user and assistant in turn."""
    roles = ("user", "assistant") * len(contents)
    messages = [Message(role, text) for role, text in zip(roles, contents, strict=False)]
    first = [Message("system", system)] if system else []
    return Row(place or Place("data.jsonl", 1), (*first, *messages))


def encode_rows(
    rows: Iterable[Row],
    template: ChatTemplate,
    tokenizer: AnyTokenizer,
    *,
    sequence_length: int,
    stop_ids: Sequence[int] = (),
    on_cut: OverlengthPolicy = "drop",
) -> EncodedSplit:
    """Conversations as a stage prepares them, all of their sequences in memory."""
    stops = tuple(stop_ids)
    encoder = Encoder(encode_conversations, tokenizer, template, sequence_length, stops)
    encoding = EncodedSplit(ledger=EncodingStats(sequence_length))
    for found in encoder.encode(rows):
        encoding.sequences += encoding.enter(found, on_cut)
    return encoding
