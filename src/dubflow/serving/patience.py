"""How often the registry and the server are looked at, and how long anything is waited for."""

from __future__ import annotations

from pydantic import Field

from dubflow.config import Strict


class WatchSettings(Strict):
    """How patient the watcher and the watchdog are."""

    poll_s: float = Field(1.0, gt=0, description="How often the registry is asked.")
    look_s: float = Field(0.5, gt=0, description="How often processes of models are looked at.")
    deep_s: float = Field(30.0, gt=0, description="How often the current version dubs the golden clip.")
    golden_s: float = Field(60.0, gt=0, description="A golden clip that is not dubbed by then has failed.")
    again_s: float = Field(
        30.0,
        gt=0,
        description="A refused version is tried again after this, then twice this.",
    )
    again_most_s: float = Field(3600.0, gt=0, description="But never later than this.")
    hung_s: float = Field(3.0, gt=0, description="Processes that do nothing for so long while jobs wait are ended.")
    ending_s: float = Field(
        30.0,
        gt=0,
        description="Processes of what was loaded again are ended if they have not ended themselves by then.",
    )
    silent_s: float = Field(10.0, gt=0, description="A server that answers nothing for so long is ended.")
    ahead: bool = Field(True, description="Whether a challenger is brought and checked before it is promoted.")
