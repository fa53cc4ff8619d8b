"""Hand-set weights for the tiny models, so that they paint where random weights give coloured noise.

Imported where torch is (see ``tiny``). Classes and shapes are the real ones; only numbers are chosen:

- autoencoders keep the picture: latents are 8x8 block means of the colours;
- transformers predict ``v = pull * (x - target)``. The target is the sample's own surroundings (rotary
  attention that falls off with distance), reference pictures at the same place, and a field of
  colours read from the prompt's tokens, weighed by guidance. So noise becomes soft blobs by seed,
  prompts become colours, and sources stay recognisable.
"""

from __future__ import annotations

from typing import Any

from fauxvider.renderers.diffusers.libraries import diffusers, torch

__all__ = ["LATENT_SCALE", "keep_pictures", "listen_closely", "mark_padding", "paint"]

LATENT_SCALE = 0.3611  # FLUX.1's own: latents of a picture, against noise of one

# --- transformers -----------------------------------------------------------------------------------
# Channels of the 32 wide stream: the sample (three colours at four places of a 2x2 patch), the target
# likewise, a constant pair that fixes what layer norms divide by, a counterweight that keeps their
# mean at 0, and spare ones.
_WIDTH, _HEAD, _PADDING = 32, 16, 31
_SAMPLE, _TARGET, _SPARE = 0, 12, 27
_PLUS, _MINUS, _COUNTER = 24, 25, 26
_CALM = 8.0
_UNIT = _CALM / 4  # the standard deviation of 32 channels, two of which are +C and -C
_STEADY = 20.0  # a channel of the time embedding that is the same at all times

_PULL = 2.8  # how fast noise goes
_DETAIL = 0.25  # how much a place of a patch differs from its neighbours in the surroundings
_NEAR, _FAR = 3.4, -2.25  # how the close and the wide surroundings make the target
_COLOUR, _GUIDED = 0.5, 0.06  # the weight of the prompt's colours, and what guidance adds
_TEXTURE = 0.3  # the weight of the random layers that are left


def paint(transformer: Any, *, colour: float) -> Any:
    """Set the weights of a tiny FLUX.1 or FLUX.2 transformer; give it back.

    ``colour`` weighs the prompt's field of colours: the text encoders speak with unlike force.
    """
    with torch.no_grad():
        parts = _Parts(transformer)
        for name, value in transformer.named_parameters():
            if name.endswith(".bias"):
                value.zero_()
        _embed(parts)
        _read_prompt(parts, colour)
        _look_around(parts)
        _speak(parts)
    return transformer


class _Parts:
    """One set of names for the layers of both families: FLUX.2 fuses what FLUX.1 keeps apart."""

    def __init__(self, whole: Any) -> None:
        self.whole = whole
        self.double, self.single = whole.transformer_blocks[0], whole.single_transformer_blocks[0]
        self.second = hasattr(whole, "single_stream_modulation")  # FLUX.2
        self.time = whole.time_guidance_embed if self.second else whole.time_text_embed
        if self.second:
            fused = self.single.attn.to_qkv_mlp_proj.weight
            self.query, self.key, self.value = (fused[at : at + _WIDTH] for at in range(0, 3 * _WIDTH, _WIDTH))
            self.texture_in, self.out = fused[3 * _WIDTH :], self.single.attn.to_out.weight
            self.modulations = {
                "image": whole.double_stream_modulation_img.linear,
                "text": whole.double_stream_modulation_txt.linear,
                "single": whole.single_stream_modulation.linear,
            }
        else:
            attn = self.single.attn
            self.query, self.key, self.value = attn.to_q.weight, attn.to_k.weight, attn.to_v.weight
            self.texture_in, self.out = self.single.proj_mlp.weight, self.single.proj_out.weight
            self.modulations = {
                "image": self.double.norm1.linear,
                "text": self.double.norm1_context.linear,
                "single": self.single.norm.linear,
            }

    def modulate(self, stream: str, part: int, values: Any, guided: float = 0.0) -> None:
        """Set a modulation to constants (0 shift, 1 scale, 2 gate; 3 to 5 the same for the feed-forward)."""
        weight = self.modulations[stream].weight[part * _WIDTH : (part + 1) * _WIDTH]
        weight.zero_()
        weight[:, 0] = values / _STEADY
        weight[:, 1] = guided

    def rope(self, axis: int) -> list[tuple[int, float]]:
        """Give (dimension, frequency) of the rotary pairs of an axis, fastest first."""
        sizes = self.whole.config.axes_dims_rope
        theta = 2_000.0 if self.second else 10_000.0
        return [(sum(sizes[:axis]) + i, theta ** (-i / sizes[axis])) for i in range(0, sizes[axis], 2)]


def listen_closely(t5: Any) -> None:
    """Let a T5 encoder's tokens take in each other, or the same letters say the same in every prompt."""
    with torch.no_grad():
        for block in t5.encoder.block:
            block.layer[0].SelfAttention.q.weight.mul_(8)
            block.layer[0].SelfAttention.o.weight.mul_(2)


def mark_padding(text_encoder: Any, token: int, reader: Any) -> None:
    """Make padding tell itself from words, in a channel that ``reader`` (of encoded tokens) keeps apart.

    Otherwise 200 like tokens of padding would speak louder than the prompt.
    """
    with torch.no_grad():
        table = text_encoder.get_input_embeddings().weight
        spread = float(table.std())
        table[:, 0] = 0
        table[token] = 0
        table[token, 0] = 10 * spread
        for part in text_encoder.modules():
            if isinstance(part, torch.nn.Linear) and part.in_features == table.shape[1]:
                part.weight[:, 0] = 0  # nor shall words hear it
        reader.weight[_PADDING] = 0
        reader.weight[_PADDING, :: table.shape[1]] = 3 / reader.weight.shape[1] ** 0.5


def _embed(parts: _Parts) -> None:
    """Read the latents' colours into the stream, and time and guidance into two channels of their own."""
    channels = parts.whole.x_embedder.weight.shape[1] // 4
    parts.whole.x_embedder.weight.zero_()
    for colour in range(3):
        same = range(colour, channels, 3)
        for place in range(4):
            for channel in same:
                parts.whole.x_embedder.weight[_SAMPLE + 4 * colour + place, 4 * channel + place] = 1 / len(same)
    _balance(parts.whole.x_embedder.weight)
    for name, row, feature, scale in (("timestep_embedder", 0, 127, _STEADY), ("guidance_embedder", 1, 255, 40.0)):
        embedder = getattr(parts.time, name, None)
        if embedder is None:
            continue
        # The slowest waves: their cosine is 1 at all times, their sine grows with guidance.
        embedder.linear_1.weight[row] = 0
        embedder.linear_1.weight[row, feature] = scale
        embedder.linear_2.weight[:2] = 0
        embedder.linear_2.weight[row, row] = 1
    if not parts.second:
        parts.time.text_embedder.linear_2.weight[:2] = 0
    _add_constants(parts.double.ff, +_CALM)
    _add_constants(parts.double.ff_context, -_CALM)  # by this sign attention tells text from picture
    for stream in ("image", "text"):
        parts.modulate(stream, 3, _only(_PLUS, 10.0))
        parts.modulate(stream, 4, -torch.ones(_WIDTH))
        parts.modulate(stream, 5, torch.ones(_WIDTH))


def _add_constants(feed_forward: Any, calm: float) -> None:
    """Make a feed-forward that hears a constant 10 add the constant pair."""
    if hasattr(feed_forward, "linear_in"):
        first, second = feed_forward.linear_in.weight, feed_forward.linear_out.weight
        half = first.shape[0] // 2
        first.zero_()
        first[half, _PLUS] = 0.1  # the value that SwiGLU's gate below lets through
    else:
        first, second = feed_forward.net[0].proj.weight, feed_forward.net[2].weight
        first.zero_()
    first[0, _PLUS] = 1.0
    second.zero_()
    second[_PLUS, 0], second[_MINUS, 0] = calm / 10, -calm / 10


def _read_prompt(parts: _Parts, colour_weight: float) -> None:
    """Let every place of the picture gather colours from the prompt's tokens.

    A token's key is random by what it says, so that it speaks to some places and not to others.
    """
    attn = parts.double.attn
    parts.modulate("image", 0, _only(_PLUS, 1.0))
    parts.modulate("image", 1, -torch.ones(_WIDTH))
    parts.modulate("image", 2, torch.full((_WIDTH,), _COLOUR), guided=_GUIDED)
    for part in (0, 1):
        parts.modulate("text", part, torch.zeros(_WIDTH))
    gate = parts.rope(0)[-1][0]
    query, key = torch.zeros(_HEAD), torch.zeros(_HEAD)
    for axis in (1, 2):
        (fast, _), (slow, _), *_rest = parts.rope(axis)
        query[fast], query[slow] = 0.25, 1.0
    query[gate], key[gate] = 1.0, -1.0  # pictures do not answer pictures here
    for weight, pattern in ((attn.to_q.weight, query), (attn.to_k.weight, key)):
        weight.zero_()
        weight[:, _PLUS] = pattern.repeat(2)
    attn.to_v.weight.zero_()
    for norm in (attn.norm_q, attn.norm_k, attn.norm_added_k):
        norm.weight.fill_(7.0)
    for first in (0, _HEAD):
        attn.add_k_proj.weight[first : first + parts.rope(1)[0][0]] = 0
        attn.add_k_proj.weight[first + gate, _PADDING] = -2.0
    attn.add_v_proj.weight[:, _PADDING] = 0
    attn.to_out[0].weight.zero_()
    colours = torch.randn(3, _WIDTH) * colour_weight
    for colour in range(3):
        for place in range(4):
            attn.to_out[0].weight[_TARGET + 4 * colour + place] = colours[colour]
    _balance(attn.to_out[0].weight)
    attn.to_add_out.weight.zero_()


def _look_around(parts: _Parts) -> None:
    """Blur: one head looks at close tokens (and at references in the same place), one at wider ones."""
    parts.modulate("single", 0, torch.zeros(_WIDTH))
    parts.modulate("single", 1, torch.zeros(_WIDTH))
    parts.modulate("single", 2, torch.ones(_WIDTH))
    for weight in (parts.query, parts.key, parts.value):
        weight.zero_()
    energies = [_energies(parts, 0.7, reference=8.0), _energies(parts, 0.12, reference=0.0)]
    whole = max(float(energy.abs().sum()) for energy in energies)
    spare = parts.rope(0)[-1][0]
    for head, energy in enumerate(energies):
        rows = slice(head * _HEAD, (head + 1) * _HEAD)
        energy[spare] += whole - float(energy.abs().sum())
        parts.query[rows, _PLUS] = energy.abs().sqrt()
        parts.key[rows, _PLUS] = energy.abs().sqrt() * energy.sign()
        for channel in range(12):
            colour = _SAMPLE + channel // 4 * 4
            # Mostly the token's mean: four places that drift apart would show as a grid.
            parts.value[head * _HEAD + channel, colour : colour + 4] = (1 - _DETAIL) / 4
            parts.value[head * _HEAD + channel, _SAMPLE + channel] += _DETAIL
    size = (whole / 4) ** 0.5
    parts.single.attn.norm_q.weight.fill_(size)
    parts.single.attn.norm_k.weight.fill_(size)


def _energies(parts: _Parts, fall: float, *, reference: float) -> Any:
    """Give the logits' cosines per dimension: ``fall`` is how fast they fall with distance.

    The fast wave alone would look at every sixth token as well; the slow one forbids it.
    """
    energy = torch.zeros(_HEAD)
    for axis in (1, 2):
        (fast, _), (slow, frequency), *_rest = parts.rope(axis)
        energy[fast] = fall
        energy[slow] = 0.12 / frequency**2
    energy[parts.rope(0)[0][0]] = -reference  # another index on axis 0 is another picture: look there first
    return energy


def _speak(parts: _Parts) -> None:
    """Write the target, and from it the velocity."""
    out = parts.out
    texture = torch.randn(3, out.shape[1] - _WIDTH) * _TEXTURE / (out.shape[1] - _WIDTH) ** 0.5
    parts.texture_in[:, [_PLUS, _MINUS]] = 0  # or it would answer a constant with a constant
    out.zero_()
    out[_TARGET : _TARGET + 12, _WIDTH:] = texture.repeat_interleave(4, dim=0)
    for channel in range(12):
        out[_TARGET + channel, channel] = _NEAR * _UNIT
        out[_TARGET + channel, _HEAD + channel] = _FAR * _UNIT
    _balance(out)
    parts.whole.norm_out.linear.weight.zero_()
    final = parts.whole.proj_out.weight
    final.zero_()
    for row in range(final.shape[0]):
        channel, place = divmod(row, 4)
        at = 4 * (channel % 3) + place
        final[row, _SAMPLE + at], final[row, _TARGET + at] = _PULL * _UNIT, -_PULL * _UNIT


def _balance(weight: Any) -> None:
    weight[_COUNTER] = -weight[:_PLUS].sum(dim=0)


def _only(channel: int, value: float) -> Any:
    values = torch.zeros(_WIDTH)
    values[channel] = value
    return values


# --- autoencoders ------------------------------------------------------------

_LOUD = 30.0  # of the constant channels here


def keep_pictures(vae: Any) -> None:
    """Set the weights so that latents are 8x8 block means of the colours, repeated over the channels.

    The eight channels inside are +RGB, -RGB, +C, -C: their mean is 0 and their variance is fixed by
    C, so the group norms become multiplication by a constant; residual blocks become the identity
    (their second convolution is 0); SiLU is linear where a bias of 8 lifts its input.
    """
    latent = vae.config.latent_channels
    encoder, decoder = vae.encoder, vae.decoder
    with torch.no_grad():
        for part in (*encoder.modules(), *decoder.modules()):
            if isinstance(part, diffusers.models.resnet.ResnetBlock2D):
                part.conv2.weight.zero_()
                part.conv2.bias.zero_()
        _colours_in(encoder.conv_in, [[channel] for channel in range(3)])
        _colours_in(decoder.conv_in, [list(range(colour, latent, 3)) for colour in range(3)])
        for block in encoder.down_blocks:
            for sampler in block.downsamplers or ():
                _each_channel(sampler.conv, torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]) / 4)
        blur = torch.tensor([1.0, 2.0, 1.0])
        for block in decoder.up_blocks:
            for sampler in block.upsamplers or ():
                _each_channel(sampler.conv, torch.outer(blur, blur) / 16)
        _colours_out(encoder, [channel % 3 for channel in range(latent)])
        encoder.conv_out.bias[latent:] = -20.0  # log-variance: no noise
        _colours_out(decoder, [0, 1, 2])
        if hasattr(vae, "bn"):
            vae.bn.running_var.fill_(1 / LATENT_SCALE**2)


def _colours_in(conv: Any, sources: list[list[int]]) -> None:
    conv.weight.zero_()
    conv.bias.zero_()
    for colour, channels in enumerate(sources):
        for channel in channels:
            conv.weight[colour, channel, 1, 1] = 1 / len(channels)
            conv.weight[colour + 3, channel, 1, 1] = -1 / len(channels)
    conv.bias[6], conv.bias[7] = _LOUD, -_LOUD


def _each_channel(conv: Any, kernel: Any) -> None:
    conv.weight.zero_()
    conv.bias.zero_()
    for channel in range(8):
        conv.weight[channel, channel] = kernel


def _colours_out(half: Any, colours: list[int]) -> None:
    half.conv_norm_out.weight.fill_(_LOUD / 2)
    half.conv_norm_out.bias.fill_(8.0)
    half.conv_out.weight.zero_()
    half.conv_out.bias.zero_()
    for channel, colour in enumerate(colours):
        half.conv_out.weight[channel, colour, 1, 1] = 0.5
        half.conv_out.weight[channel, colour + 3, 1, 1] = -0.5
