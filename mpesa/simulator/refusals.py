"""Daraja's refusals: HTTP status, errorCode and errorMessage of each."""


class Refusal(Exception):
    """A request that Daraja turns down, as the body `{requestId, errorCode, errorMessage}`."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class UnknownConsumer(Exception):
    """A key and secret that the token endpoint does not know: 400 with an empty body."""


class Blocked(Exception):
    """A request that the firewall in front of Daraja answers, with its own page and 503."""


class RateLimited(Exception):
    """A request that the gateway turns down before Daraja sees it: 429 in the gateway's shape."""


def invalid(field: str) -> Refusal:
    """Make the refusal of one field, by the name that Daraja gives it."""
    return Refusal(400, "400.002.02", f"Bad Request - Invalid {field}")


def core_error(message: str) -> Refusal:
    """Make a refusal with the code that Daraja uses for several faults, which differ by text."""
    return Refusal(500, "500.001.1001", message)


def line_locked() -> Refusal:
    """Make the refusal of a push to a line that has an open prompt."""
    return core_error(
        "Unable to lock subscriber, a transaction is already in process for the current subscriber"
    )


def unknown_payment() -> Refusal:
    """Make the query's answer to a CheckoutRequestID that it does not know."""
    return core_error("The transaction does not Exist")


def still_processing() -> Refusal:
    """Make the query's older answer while a prompt is open, instead of ResultCode 4999."""
    return core_error("The transaction is being processed")


def busy() -> Refusal:
    """Make the answer of a busy system, which did nothing."""
    return Refusal(500, "500.003.02", "System is busy. Please try again in few minutes.")


def over_quota() -> Refusal:
    """Make the answer to an app whose quota is used up: nothing was done."""
    return Refusal(500, "500.003.03", "Quota Violation")


def no_product() -> Refusal:
    """Make the answer to a token of an app that may not use this API."""
    return Refusal(
        401,
        "401.003.01",
        "Error Occurred - Invalid Access Token - Invalid API call as no apiproduct match found",
    )


def wrong_authentication() -> Refusal:
    """Make the token endpoint's answer to anything but well-formed Basic authentication."""
    return Refusal(400, "400.008.01", "Invalid Authentication passed")


def wrong_grant() -> Refusal:
    """Make the token endpoint's answer to another grant_type than client_credentials."""
    return Refusal(400, "400.008.02", "Invalid grant type passed")


def no_bearer() -> Refusal:
    """Make the answer to a call without `Authorization: Bearer …`."""
    return Refusal(404, "404.001.04", "Invalid Authentication Header")


def dead_token() -> Refusal:
    """Make the answer to a token that was never given, has expired or was replaced."""
    return Refusal(404, "404.001.03", "Invalid Access Token")


def unreadable() -> Refusal:
    """Make the answer to a body that is no JSON object."""
    return Refusal(400, "400.002.05", "Invalid Request Payload")


def wrong_method() -> Refusal:
    """Make the answer to another HTTP method than the one of that path."""
    return Refusal(405, "405.001", "Method Not Allowed")


def no_such_path() -> Refusal:
    """Make the answer to a path that Daraja does not have."""
    return Refusal(404, "404.001.01", "Resource not found")


def unknown_fate() -> Refusal:
    """Make the internal error that says nothing about whether the push ran."""
    return Refusal(500, "500.003.1001", "Internal Server Error")


def already_registered() -> Refusal:
    """Make production's answer to a short code that has its C2B addresses."""
    return Refusal(500, "500.003.1001", "Urls are already registered")


def forbidden_word(field: str, word: str) -> Refusal:
    """Make the refusal of an address that has a word of Safaricom's list."""
    return Refusal(400, "400.003.02", f"Invalid {field} - URL has the word {word.upper()}")


def nothing_pulled() -> Refusal:
    """Make Pull's error, by which it may only mean that there is nothing (Daraja docs, Pull)."""
    return Refusal(500, "500.001", "Failed to retrieve transactions.")
