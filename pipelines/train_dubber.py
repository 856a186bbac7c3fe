"""DiFlowDubber from a corpus to a gated champion."""

from components.fit_codec import component as codec_fit
from components.place import put
from components.prepare import component as preparation
from components.render_corpus import component as rendering
from components.train_dubber import component as stage_two
from components.train_tts import component as stage_one
from kfp import dsl

from pipelines.judged import judged_and_served


@dsl.pipeline(
    name="train-dubber",
    description="Render or take a corpus, prepare it in parts, train both stages, judge, and promote what is better.",
)
def train_dubber(
    workspace: str = "/workspace",
    code: str = "",
    preset: str = "tiny",
    start: str = "starter",
    start_tts: str = "starter-tts",
    identities: int = 8,
    clips: int = 6,
    voice_clips: int = 12,
    languages: str = "en,es,ru,fr,de,it,el",
    seed: int = 1,
    codec_minutes: float = 14.0,
    parts: list = ["0/2", "1/2"],  # noqa: B006 - KFP reads the default, nothing writes it
    tts_steps: int = 0,
    dubber_steps: int = 0,
    nodes: int = 1,
    devices: int = 1,
    benchmark: str = "standard",
    policy: str = "offline",
    registry: str = "",
    name: str = "dubber",
    deploy: bool = False,
):
    """``start`` and ``start_tts`` name models to begin with; both empty, everything is learnt from nothing."""
    common = {"workspace": workspace, "code": code}
    world = {"preset": preset, "identities": identities, "languages": languages, "seed": seed}
    voices = put(
        rendering.render_corpus(clips=voice_clips, voices_only=True, **world, **common), rendering.PLACE
    ).set_display_name("voices")
    heads = put(
        rendering.render_corpus(clips=clips, voices_only=False, **world, **common), rendering.PLACE
    ).set_display_name("talking heads")
    codec = put(
        codec_fit.fit_codec(
            corpus=voices.outputs["corpus"], start=start_tts, minutes=codec_minutes, seed=seed, **common
        ),
        codec_fit.PLACE,
    ).outputs["codec"]
    spoken = put(
        preparation.prepare(corpus=voices.outputs["corpus"], codec=codec, preset=preset, **common), preparation.PLACE
    ).set_display_name("prepare voices")
    with dsl.ParallelFor(parts, name="parts", parallelism=8) as part:
        share = put(
            preparation.prepare(corpus=heads.outputs["corpus"], codec=codec, preset=preset, part=part, **common),
            preparation.PLACE,
        ).set_display_name("prepare a part")
    seen = put(
        preparation.prepare(
            corpus=heads.outputs["corpus"],
            codec=codec,
            preset=preset,
            earlier=dsl.Collected(share.outputs["prepared"]),
            **common,
        ),
        preparation.PLACE,
    ).set_display_name("join the parts")
    training = {"preset": preset, "seed": seed, "nodes": nodes, "devices": devices, **common}
    tts = put(
        stage_one.train_tts(
            prepared=spoken.outputs["prepared"], codec=codec, start=start_tts, steps=tts_steps, **training
        ),
        stage_one.PLACE,
    )
    dubber = put(
        stage_two.train_dubber(
            prepared=seen.outputs["prepared"],
            codec=codec,
            teacher=tts.outputs["model"],
            start=start,
            steps=dubber_steps,
            **training,
        ),
        stage_two.PLACE,
    )
    judged_and_served(
        model=dubber.outputs["model"],
        heads=heads.outputs["corpus"],
        voices=voices.outputs["corpus"],
        preset=preset,
        benchmark=benchmark,
        policy=policy,
        registry=registry,
        name=name,
        deploy=deploy,
        **common,
    )
