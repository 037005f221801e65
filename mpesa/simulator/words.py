"""The virtual phone's page in Kiswahili; its English is in the page and its scripts.

The simulator has a catalogue of its own, since it is also shipped without the checkout. M-PESA's
SMS and the words of switches are what they are in any language.
"""

from collections.abc import Callable

from flask import request

LANGUAGES = ("en", "sw")


def language() -> str:
    """The language of the present request: by `?lang=`, else by Accept-Language, else English."""
    asked = request.args.get("lang")
    if asked in LANGUAGES:
        return str(asked)
    # A tag that matches nothing is cut off (RFC 4647, 3.4), so that sw-KE is Kiswahili.
    accepted = (tag.partition("-")[0].lower() for tag in request.accept_languages.values())
    return next((tag for tag in accepted if tag in LANGUAGES), "en")


def in_language(lang: str) -> Callable[[str], str]:
    """Make what says an English text in that language."""
    words = SWAHILI if lang == "sw" else {}
    return lambda text: words.get(text, text)


SWAHILI = {
    # The page.
    "Virtual phone": "Simu ya majaribio",
    "M-PESA simulator": "Majaribio ya M-PESA",
    "Simulator: no real money moves": "Majaribio: pesa halisi hazitumwi",
    "Send a payment request to a line. The prompt appears on its phone, and you hold that phone."
    " Or pay by hand there, with Lipa na M-PESA.": "Tuma ombi la malipo kwa laini."
    " Ombi linaonekana kwenye simu yake, na simu hiyo iko mkononi mwako."
    " Au lipa mwenyewe hapo kwa Lipa na M-PESA.",
    "What happens next": "Kitakachofuata",
    "Answer it myself": "Nijibu mwenyewe",
    "Pays": "Analipa",
    "Cancels": "Anaghairi",
    "Not enough money": "Pesa hazitoshi",
    "Wrong PIN": "PIN si sahihi",
    "Callback lost": "Jibu lapotea",
    "Paid late": "Analipa baadaye",
    "The right PIN is entered after two seconds.": "PIN sahihi inawekwa baada ya sekunde mbili.",
    "The request is cancelled after two seconds.": "Ombi linaghairiwa baada ya sekunde mbili.",
    "M-PESA finds too little money on this line.": "M-PESA inakuta pesa hazitoshi kwenye laini"
    " hii.",
    "A wrong PIN is entered after two seconds.": "PIN isiyo sahihi inawekwa baada ya sekunde"
    " mbili.",
    "It is paid, but M-PESA's callback never arrives: the shop must find out by itself.": "Pesa"
    " zinalipwa, lakini jibu la M-PESA halifiki: duka lazima ligundue lenyewe.",
    "M-PESA says that time ran out. Ten seconds later it was paid after all.": "M-PESA inasema muda"
    " umekwisha. Sekunde kumi baadaye malipo yanafika.",
    "You hold this phone: enter the PIN, or cancel.": "Simu iko mkononi mwako: weka PIN au ghairi.",
    "This line has a mix of its own: see More.": "Laini hii ina mpangilio wake: tazama Zaidi.",
    "Whose phone?": "Simu ya nani?",
    "Another number": "Nambari nyingine",
    "Pick it up": "Ichukue",
    "Close": "Funga",
    "The phone": "Simu",
    "The virtual phone needs JavaScript. Everything that it does can be done over HTTP too:": "Simu"
    " ya majaribio inahitaji JavaScript. Yote yanawezekana pia kwa HTTP:",
    "Line": "Laini",
    "M-PESA balance": "Salio la M-PESA",
    "PayBill, Buy Goods": "PayBill, Buy Goods",
    "Messages": "Ujumbe",
    "Nothing yet. When a shop asks this line to pay, the request appears here by itself.": "Bado"
    " hakuna kitu. Duka likiomba laini hii ilipe, ombi litaonekana hapa lenyewe.",
    "What to pay": "Unalipa nini",
    "Business number": "Nambari ya biashara",
    "Till number": "Nambari ya till",
    "Account number": "Nambari ya akaunti",
    "Amount, KES": "Kiasi, KES",
    "Continue": "Endelea",
    "Enter M-PESA PIN": "Weka PIN ya M-PESA",
    "Cancel": "Ghairi",
    "Keypad": "Vitufe vya nambari",
    "Delete the last digit": "Futa tarakimu ya mwisho",
    "Connecting…": "Inaunganisha…",
    # The switches.
    "More": "Zaidi",
    "How this line behaves": "Jinsi laini hii inavyofanya kazi",
    "Make the payer, or Daraja, misbehave. The payer and the push change with the next payment"
    " request, everything else at once.": "Mfanye mlipaji, au Daraja, akosee. Mlipaji na ombi"
    " hubadilika kuanzia ombi lijalo, mengine yote mara moja.",
    "How M-PESA treats the shop": "Jinsi M-PESA inavyolishughulikia duka",
    "What it hears of money, and how its questions and refunds end. Each change counts at once, for"
    " every line.": "Linavyosikia kuhusu pesa, na jinsi maswali na urejeshaji wake unavyoisha."
    " Kila badiliko linaanza mara moja, kwa laini zote.",
    "The payer": "Mlipaji",
    "The callback": "Jibu la M-PESA",
    "A success tells": "Malipo yanaeleza",
    "The push": "Ombi la malipo",
    "Asked again": "Akiombwa tena",
    "Status queries": "Maswali ya hali",
    "Balance": "Salio",
    "PIN": "PIN",
    "Answers after": "Anajibu baada ya",
    "Callback after": "Jibu baada ya",
    "Paid late after": "Malipo ya kuchelewa baada ya",
    "KES": "KES",
    "4 digits": "tarakimu 4",
    "s": "sek.",
    "s, 0 never": "sek., 0 kamwe",
    "The confirmation": "Uthibitisho",
    "Of pushes too": "Wa maombi pia",
    "It tells the account": "Unataja akaunti",
    "It tells the number": "Unataja nambari",
    "The shop is asked before": "Duka linaulizwa kwanza",
    "Addresses are those of": "Anwani ni za",
    "Product of C2B": "Bidhaa ya C2B",
    "Pull": "Pull",
    "Times of Pull": "Saa za Pull",
    "Transaction Status": "Transaction Status",
    "Results": "Matokeo",
    "API users": "Watumiaji wa API",
    "Shapes": "Maumbo",
    "The gateway": "Lango",
    "Living tokens": "Tokeni zinazotumika",
    "Words in addresses": "Maneno katika anwani",
    "Buy Goods at the PayBill": "Buy Goods kwenye PayBill",
    "Confirmation after": "Uthibitisho baada ya",
    "Result after": "Matokeo baada ya",
    "M-PESA's clock ahead": "Saa ya M-PESA iko mbele kwa",
    "In the account": "Kwenye akaunti",
    # The scripts.
    "Live": "Moja kwa moja",
    "Looking every two seconds": "Inaangalia kila sekunde mbili",
    "The simulator does not answer. Trying again…": "Majaribio hayajibu. Inajaribu tena…",
    "Paid. The SMS is in your messages.": "Umelipa. SMS iko kwenye ujumbe wako.",
    "There is not enough money on this line.": "Hakuna pesa za kutosha kwenye laini hii.",
    "Cancelled. Nothing was paid.": "Umeghairi. Hakuna kilicholipwa.",
    "Wrong PIN. Nothing was paid.": "PIN si sahihi. Hakuna kilicholipwa.",
    "Answered.": "Limejibiwa.",
    "SMS: {text}": "SMS: {text}",
    "The simulator did not understand that.": "Majaribio hayakuelewa hilo.",
    "This prompt is closed: it was answered or ran out.": "Ombi hili limefungwa: limejibiwa au muda"
    " wake umekwisha.",
    "There is no prompt with this id.": "Hakuna ombi kama hilo.",
    "Type a Kenyan mobile number, like 0712 345 678.": "Andika nambari ya simu ya Kenya, kama 0712"
    " 345 678.",
    "is asked to pay": "inaombwa kulipa",
    "never answers": "haijibu kamwe",
    "{business} has {number}": "{business} ina {number}",
    "Type the till number: five to seven digits.": "Andika nambari ya till: tarakimu tano hadi"
    " saba.",
    "Type the business number: five to seven digits.": "Andika nambari ya biashara: tarakimu tano"
    " hadi saba.",
    "Type the account number: 1 to 20 letters or digits.": "Andika nambari ya akaunti: herufi au"
    " tarakimu 1 hadi 20.",
    "Type an amount in whole shillings.": "Andika kiasi kwa shilingi kamili.",
    "Somebody else's number": "Nambari ya mtu mwingine",
    "till {number}": "till {number}",
    "PayBill {number}": "PayBill {number}",
    "till no.": "till nambari",
    "account no.": "akaunti nambari",
    "A PIN has four digits.": "PIN ina tarakimu nne.",
    "This line's PIN is {pin}": "PIN ya laini hii ni {pin}",
    "Do you want to pay {amount} to {business}, {what} {reference}?": "Je, unataka kulipa {amount}"
    " kwa {business}, {what} {reference}?",
    "Sending…": "Inatuma…",
    "OK": "Sawa",
    "Saved.": "Imehifadhiwa.",
}
