"""How long a request spends in each stage."""

from sightstream.pipeline.stage_clock import StageClock
from sightstream.schemas.wire.dead_letter import Stage


def test_waiting_for_the_model_to_load_is_in_the_total_alone() -> None:
    now = 0.0
    clock = StageClock(lambda: now, loaded_at=lambda: 20.0)
    now = 1.0
    clock.record(Stage.FETCH)
    now = 22.5
    clock.record(Stage.INFER)
    seconds = clock.seconds()
    assert (seconds.fetch, seconds.infer, seconds.total) == (1.0, 2.5, 22.5)


def test_a_model_that_had_loaded_before_takes_nothing_off() -> None:
    now = 30.0
    clock = StageClock(lambda: now, loaded_at=lambda: 20.0)
    now = 33.0
    clock.record(Stage.INFER)
    assert clock.seconds().infer == 3.0
