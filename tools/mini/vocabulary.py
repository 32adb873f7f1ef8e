"""Mini's tokenizer: CLIP's byte-pair format with a vocabulary of its own, small enough to embed."""

import json
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer

_TEXT = """a an the of in on at with and to from by for near under over behind beside between photo picture image
drawing painting shapes texture pattern room kitchen bedroom table desk chair bed lamp shelf window door wall floor
ceiling carpet curtain book mug cup bowl plate bottle vase flower flowers leaf leaves tree trees grass garden forest
park street road house building church tower bridge city town square courtyard statue fountain roof brick stone wood
metal glass water river lake sea beach sand sky cloud clouds sun moon night day evening morning summer winter autumn
spring snow rain mountain hill field path fence gate car bus bicycle boat train dog puppy cat bird horse people person
man woman child children family friends face hand hands smile hat coat dress shoes bag backpack food fruit berry
berries apple bread cake coffee tea red green blue yellow orange purple pink brown black white grey dark light bright
warm cold soft sharp old new small large big round square striped dotted wooden empty full left right front back top
bottom close far wide view scene background foreground shadow reflection portrait landscape indoor outdoor one two
three four five six many few sitting standing walking running looking holding playing sks"""
WORDS = _TEXT.split()


def build(folder: Path, size: int = 1500) -> CLIPTokenizer:
    """Learn merges on the words above and write a CLIP tokenizer of at most `size` tokens into `folder`."""
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.normalizer = normalizers.Lowercase()
    learner.pre_tokenizer = pre_tokenizers.Whitespace()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    budget = size - 2 * len(alphabet) - 2
    trainer = trainers.BpeTrainer(
        vocab_size=budget + 120, initial_alphabet=[], end_of_word_suffix="</w>", show_progress=False
    )
    learner.train_from_iterator([*WORDS, *["a photo of sks"] * 50], trainer)
    merges = [tuple(pair) for pair in json.loads(learner.to_str())["model"]["merges"]][:budget]
    tokens = [*alphabet, *(letter + "</w>" for letter in alphabet)]
    tokens += dict.fromkeys(first + second for first, second in merges)
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77)
    tokenizer.save_pretrained(folder)
    return tokenizer
