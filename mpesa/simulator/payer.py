"""The acts of the person at the phone, decided by the line's script."""

from collections.abc import Callable

from mpesa.simulator.outcomes import Outcome
from mpesa.simulator.payment import Payment
from mpesa.simulator.script import SILENT_LINE, Answer, Script

Ending = Callable[[Script], Outcome]


def typed(pin: str, amount: int) -> Ending:
    """Make the ending of a typed PIN, for which the line's PIN and balance at that moment count."""

    def ending(line: Script) -> Outcome:
        if pin != line.pin:
            return Outcome.WRONG_PIN
        return Outcome.PAID if line.balance >= amount else Outcome.INSUFFICIENT

    return ending


def always(outcome: Outcome) -> Ending:
    """Make an ending that does not depend on the line."""
    return lambda line: outcome


def plan(payment: Payment, prompt_life: float, silent_life: float) -> tuple[float, Ending]:
    """Plan when and how a payment ends, unless a person answers first.

    A payer that is scripted to answer later than `prompt_life` does so all the same: payments after
    87 s have been seen.

    Args:
        prompt_life: the seconds for which a prompt stays on the phone.
        silent_life: the same for Safaricom's test number, unless it is scripted to do more than
            ignore the prompt.

    Returns:
        The seconds until then, and the ending.
    """
    script = payment.script
    if payment.doomed_to is not None:
        return 0, always(payment.doomed_to)
    if script.result is not None:
        return script.after, always(script.result)
    match script.answer:
        case Answer.PAY:
            return script.after, lambda line: typed(line.pin, payment.request.amount)(line)
        case Answer.CANCEL:
            return script.after, always(Outcome.CANCELLED)
        case Answer.WRONG_PIN:
            return script.after, always(Outcome.WRONG_PIN)
        case Answer.UNREACHABLE:
            return script.after, always(Outcome.UNREACHABLE)
        case Answer.IGNORE if payment.msisdn == SILENT_LINE:
            return silent_life, always(Outcome.IGNORED)
        case _:
            return prompt_life, always(Outcome.IGNORED)
