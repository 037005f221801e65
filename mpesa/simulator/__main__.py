"""`python -m mpesa.simulator --port 5001`: the simulator alone, on the checkout's async server."""

from mpesa import serving  # isort: skip - patches the standard library, so it comes first

from pathlib import Path

from mpesa.simulator.standalone import asked_for, create_app, greeting

_ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    asked = asked_for("python -m mpesa.simulator")
    try:
        listener = serving.listen(asked.host, asked.port)
    except serving.CannotListen as problem:
        raise SystemExit(str(problem)) from None
    serving.serve(
        create_app(asked.business, serving.MODE.value, _ROOT),
        listener,
        on_ready=lambda: print(greeting(asked.host, asked.port), flush=True),
    )


if __name__ == "__main__":
    main()
