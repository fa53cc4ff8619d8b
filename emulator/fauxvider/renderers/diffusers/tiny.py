"""Tiny pipelines of the real diffusers classes: built in code, random weights from a fixed seed.

Imported in the worker (or a builder process) alone: this package's modules that load torch are
this one, ``weights``, ``studio`` and ``libraries``. The weights that decide what a picture looks
like are set by hand (``weights``); the text encoders stay random.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fauxvider.errors import RenderError
from fauxvider.renderers.diffusers.libraries import diffusers, tokenizers, torch, transformers
from fauxvider.renderers.diffusers.weights import LATENT_SCALE, keep_pictures, listen_closely, mark_padding, paint

__all__ = ["FOLDERS", "build", "ensure_built"]

FOLDERS = ("flux", "flux2-klein", "flux2")
_SPECIALS = {"pad_token": "<pad>", "unk_token": "<unk>", "bos_token": "<bos>", "eos_token": "<eos>"}
# Chosen by eye: prompts spread over many colours.
_SEEDS = {"flux": 20_260_117, "flux2-klein": 20_260_102, "flux2": 20_260_103}


def ensure_built(cache: Path) -> Path:
    """Give the folder that holds the three tiny pipelines, building it when it is not there yet.

    Two processes may build at once: each works in a folder of its own and the first rename wins.
    Raises RenderError when the cache cannot be written.
    """
    target = cache / f"tiny-{_recipe()}-diffusers-{diffusers.__version__}-transformers-{transformers.__version__}"
    if target.is_dir():
        return target
    try:
        cache.mkdir(parents=True, exist_ok=True)
        _build_into(target)
    except OSError as error:
        raise RenderError(f"the tiny models cannot be built in {cache}: {error.strerror or error}") from error
    return target


def _build_into(target: Path) -> None:
    work = Path(tempfile.mkdtemp(prefix=".building-", dir=target.parent))
    try:
        build(work)
        work.chmod(0o755)
        work.rename(target)
    except OSError:
        if not target.is_dir():
            raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _recipe() -> str:
    # Other code makes other weights: folders of before must not be taken for these.
    files = (Path(__file__), Path(__file__).with_name("weights.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


def build(folder: Path) -> None:
    """Write the three pipelines below ``folder``: the same weight files each time, everywhere."""
    for name, make in _MAKERS.items():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_SEEDS[name])
            pipe = make()
        for part in pipe.components.values():
            if isinstance(part, torch.nn.Module):
                part.eval()
        pipe.save_pretrained(folder / name, safe_serialization=True)


def _flux() -> Any:
    tokenizer, tokenizer_2 = _tokenizer(77), _tokenizer(512)
    text = transformers.CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        projection_dim=32, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    text_2 = transformers.T5Config(
        vocab_size=len(tokenizer_2), d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4,
        feed_forward_proj="gated-gelu", pad_token_id=tokenizer_2.pad_token_id, eos_token_id=tokenizer_2.eos_token_id,
    )  # fmt: skip
    transformer = diffusers.FluxTransformer2DModel(
        in_channels=64, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=32, pooled_projection_dim=32, axes_dims_rope=(4, 6, 6), guidance_embeds=True,
    )  # fmt: skip
    vae = diffusers.AutoencoderKL(
        **_blocks(4), latent_channels=16, use_quant_conv=False, use_post_quant_conv=False,
        scaling_factor=LATENT_SCALE, shift_factor=0.1159,
    )  # fmt: skip
    keep_pictures(vae)
    text_encoder_2 = transformers.T5EncoderModel(text_2)
    listen_closely(text_encoder_2)
    mark_padding(text_encoder_2, tokenizer_2.pad_token_id, transformer.context_embedder)
    return diffusers.FluxPipeline(
        scheduler=_scheduler(),
        vae=vae,
        text_encoder=transformers.CLIPTextModel(text),
        tokenizer=tokenizer,
        text_encoder_2=text_encoder_2,
        tokenizer_2=tokenizer_2,
        transformer=paint(transformer, colour=0.008),
    )


def _klein() -> Any:
    tokenizer = _tokenizer(512, template=_USER_ONLY)
    text_encoder = transformers.Qwen3ForCausalLM(transformers.Qwen3Config(**_language_model(tokenizer)))
    transformer = _flux2_transformer(guidance=False, colour=0.035)
    mark_padding(text_encoder, tokenizer.pad_token_id, transformer.context_embedder)
    return diffusers.Flux2KleinPipeline(
        scheduler=_scheduler(),
        vae=_flux2_vae(),
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        transformer=transformer,
        is_distilled=True,
    )


def _flux2() -> Any:
    tokenizer = _tokenizer(512, template=_USER_ONLY)
    text = transformers.Mistral3Config(
        text_config=transformers.MistralConfig(**_language_model(tokenizer)),
        vision_config=transformers.PixtralVisionConfig(
            hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, head_dim=8, image_size=32,
            patch_size=16,
        ),
        image_token_index=0,
    )  # fmt: skip
    text_encoder = transformers.Mistral3ForConditionalGeneration(text)
    transformer = _flux2_transformer(guidance=True, colour=0.02)
    mark_padding(text_encoder, tokenizer.pad_token_id, transformer.context_embedder)
    return diffusers.Flux2Pipeline(
        scheduler=_scheduler(),
        vae=_flux2_vae(),
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        transformer=transformer,
    )


_MAKERS: dict[str, Callable[[], Any]] = {"flux": _flux, "flux2-klein": _klein, "flux2": _flux2}


def _language_model(tokenizer: Any) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer), "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 4,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8, "max_position_embeddings": 1024,
        "pad_token_id": tokenizer.pad_token_id, "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }  # fmt: skip


def _flux2_transformer(*, guidance: bool, colour: float) -> Any:
    transformer = diffusers.Flux2Transformer2DModel(
        in_channels=128, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=48, axes_dims_rope=(4, 4, 4, 4), guidance_embeds=guidance,
    )  # fmt: skip
    return paint(transformer, colour=colour)


def _flux2_vae() -> Any:
    vae = diffusers.AutoencoderKLFlux2(
        **_blocks(4), latent_channels=32, use_quant_conv=False, use_post_quant_conv=False
    )
    keep_pictures(vae)
    return vae


def _blocks(levels: int) -> dict[str, Any]:
    return {
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
        "block_out_channels": (8,) * levels,
        "layers_per_block": 1,
        "norm_num_groups": 1,
        "mid_block_add_attention": False,
    }


def _scheduler() -> Any:
    return diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True)


# --- tokenizers: one token per byte, so that any text is understood -------------------------------

# The system message of the real pipeline would fill a tiny encoder's whole window.
_USER_ONLY = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] != 'system' %}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}"
    "{% endif %}{% endif %}{% endfor %}{{ eos_token }}"
)


def _tokenizer(length: int, template: str | None = None) -> Any:
    words = [*_SPECIALS.values(), *sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())]
    core = tokenizers.Tokenizer(
        tokenizers.models.BPE(vocab={word: number for number, word in enumerate(words)}, merges=[])
    )
    core.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = tokenizers.decoders.ByteLevel()
    if template is None:
        core.post_processor = tokenizers.processors.TemplateProcessing(
            single="<bos> $A <eos>", special_tokens=[(word, words.index(word)) for word in ("<bos>", "<eos>")]
        )
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=core, model_max_length=length, **_SPECIALS)
    if template is not None:
        tokenizer.chat_template = template
    return tokenizer
