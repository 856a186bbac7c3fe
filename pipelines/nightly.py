"""Every night: fresh data, the champion trained on, judged, promoted where better; reported whatever happens."""

from components.place import put
from components.report import component as reporting
from kfp import dsl

from pipelines.train_dubber import train_dubber


@dsl.pipeline(name="nightly", description="Fresh data, a training, the gate; a report also where it failed.")
def nightly(
    workspace: str = "/workspace",
    code: str = "",
    preset: str = "tiny",
    start: str = "champion",
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
    """The schedule gives each night another ``seed``; ``champion`` starts from what is in use."""
    last = put(reporting.report(workspace=workspace, registry=registry, name=name), reporting.PLACE)
    with dsl.ExitHandler(exit_task=last, name="reported"):
        train_dubber(
            workspace=workspace,
            code=code,
            preset=preset,
            start=start,
            start_tts=start_tts,
            identities=identities,
            clips=clips,
            voice_clips=voice_clips,
            languages=languages,
            seed=seed,
            codec_minutes=codec_minutes,
            parts=parts,
            tts_steps=tts_steps,
            dubber_steps=dubber_steps,
            nodes=nodes,
            devices=devices,
            benchmark=benchmark,
            policy=policy,
            registry=registry,
            name=name,
            deploy=deploy,
        )
