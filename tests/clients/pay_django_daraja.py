"""A payment through django-daraja, which keeps its token in the database and has no query."""

import django
from django.conf import settings
from django.core.management import call_command
from shop import PASSKEY, SHORTCODE, Shop, tell

settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=["django_daraja"],
    MPESA_CONSUMER_KEY="django-daraja",
    MPESA_CONSUMER_SECRET="secret",
    MPESA_ENVIRONMENT="sandbox",
    MPESA_EXPRESS_SHORTCODE=SHORTCODE,
    MPESA_PASSKEY=PASSKEY,
    USE_TZ=True,
)
django.setup()
call_command("migrate", verbosity=0)

from django_daraja.mpesa.core import MpesaClient  # noqa: E402 - its models want the settings first

shop = Shop()
client = MpesaClient()

push = client.stk_push(shop.line, 150, "INV-1", "Coffee", shop.callback_url).checkout_request_id
result = client.parse_stk_result(shop.callback())
tell(
    id=result["CheckoutRequestID"],
    pushed=push,
    code=result["ResultCode"],
    receipt=result["MpesaReceiptNumber"],
    amount=result["Amount"],
)
