"""What all tests share: how long hypothesis may search, and signals as a user's shell has them."""

import signal

from hypothesis import HealthCheck, settings

settings.register_profile(
    "house",
    deadline=None,
    max_examples=60,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.register_profile(
    "long",  # `make fuzz`
    parent=settings.get_profile("house"),
    max_examples=100_000,
    deadline=10_000,  # milliseconds; nothing that is so small may take longer
    database=None,
)
settings.load_profile("house")


def pytest_configure() -> None:
    """Lets the programs under test be interrupted.

    Whoever starts the tests in the background of a script has SIGINT ignored, programs hand that
    on, and ours respect it.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
