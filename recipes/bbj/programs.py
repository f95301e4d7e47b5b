"""BBj programs by pattern: what a pattern shows, for any thing that a business keeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

MODERN = ("bbj-gui", "dwc")


@dataclass(frozen=True)
class Thing:
    """What a program is about: its name and two fields of it."""

    name: str
    text: str
    number: str

    @property
    def title(self) -> str:
        return self.name.capitalize()


@dataclass(frozen=True)
class Pattern:
    """One kind of program. `old` is the same in Visual PRO/5, where a migration is shown."""

    key: str
    topic: str
    generation: tuple[str, ...]
    difficulty: str
    request: str
    behaviour: str
    explanation: str
    code: Callable[[Thing], str]
    old: Callable[[Thing], str] | None = None


THINGS = tuple(
    Thing(*words.split())
    for words in (
        "customer city balance",
        "order status total",
        "invoice currency amount",
        "product label price",
        "supplier country rating",
        "employee department salary",
        "warehouse region capacity",
        "shipment carrier weight",
        "account owner limit",
        "ticket priority hours",
        "project manager budget",
        "machine maker runtime",
    )
)


def _window(t: Thing) -> str:
    return f"""rem A window for one {t.name}
sysgui! = BBjAPI().getSysGui()
window! = sysgui!.addWindow(100, 100, 420, 260, "{t.title}")
window!.addStaticText(101, 20, 20, 100, 25, "{t.text.capitalize()}")
field! = window!.addEditBox(201, 130, 20, 200, 25, "")
save! = window!.addButton(202, 130, 70, 100, 25, "Save")
save!.setCallback(save!.ON_BUTTON_PUSH, "on_save")
window!.setCallback(window!.ON_CLOSE, "on_close")

process_events

on_save:
    {t.text}$ = field!.getText()
    i = msgbox("{t.title} saved: " + {t.text}$)
    return

on_close:
    release
"""


def _window_old(t: Thing) -> str:
    return f"""rem A window for one {t.name}
sysgui = unt
open(sysgui)"X0"
print (sysgui)'window'(100,100,420,260,"{t.title}",$00010003$)
print (sysgui)'text'(101,20,20,100,25,"{t.text.capitalize()}",$0000$)
print (sysgui)'edit'(201,130,20,200,25,"",$0000$)
print (sysgui)'button'(202,130,70,100,25,"Save",$0000$)
"""


def _list(t: Thing) -> str:
    return f"""rem All {t.name}s in a list box
sysgui! = BBjAPI().getSysGui()
window! = sysgui!.addWindow(100, 100, 400, 320, "{t.title}s")
list! = window!.addListBox(301, 10, 10, 380, 250)
names! = BBjAPI().makeVector()
names!.addItem("first {t.name}")
names!.addItem("second {t.name}")
list!.insertItems(0, names!)
list!.setCallback(list!.ON_LIST_SELECT, "on_select")
window!.setCallback(window!.ON_CLOSE, "on_close")

process_events

on_select:
    event! = BBjAPI().getLastEvent()
    print "selected: ", list!.getItemAt(event!.getSelectedIndex())
    return

on_close:
    release
"""


def _class(t: Thing) -> str:
    return f"""class public {t.title}

    field private BBjString {t.text}!
    field private BBjNumber {t.number}

    method public {t.title}(BBjString {t.text}!, BBjNumber {t.number})
        #{t.text}! = {t.text}!
        #{t.number} = {t.number}
    methodend

    method public BBjString get{t.text.capitalize()}()
        methodret #{t.text}!
    methodend

    method public BBjNumber get{t.number.capitalize()}()
        methodret #{t.number}
    methodend

classend
"""


def _read(t: Thing) -> str:
    return f"""rem Read all {t.name}s and add up their {t.number}
ch = unt
open(ch)"{t.name.upper()}"
dim rec$:"id:c(8),{t.text}:c(30),{t.number}:n(12)"
total = 0
while 1
    readrecord(ch, end=*break)rec$
    total = total + rec.{t.number}
wend
close(ch)
print "{t.number} of all {t.name}s: ", total
"""


def _screen(t: Thing) -> str:
    return f"""rem Ask for a {t.name} on a character screen
print 'cs'
print @(5, 2), "{t.title.upper()}"
print @(5, 4), "{t.text.capitalize()}: ",
input @(20, 4), {t.text}$
print @(5, 5), "{t.number.capitalize()}: ",
input @(20, 5), {t.number}
print @(5, 8), {t.text}$, " ", {t.number}
"""


def _map(t: Thing) -> str:
    return f"""rem {t.title}s by {t.text} in a map
byKey! = new java.util.HashMap()
byKey!.put("north", 120)
byKey!.put("south", 75)
keys! = byKey!.keySet().iterator()
while keys!.hasNext()
    key! = keys!.next()
    print "{t.text} ", key!, ": {t.number} ", byKey!.get(key!)
wend
"""


def _check(t: Thing) -> str:
    return f"""rem Refuse a {t.name} whose {t.number} is negative
input "{t.number}: ", {t.number}
if {t.number} < 0 then
    i = msgbox("{t.number} must not be negative", 16, "{t.title}")
    escape
fi
print "{t.number} is fine: ", {t.number}
"""


def _browser(t: Thing) -> str:
    return f"""rem Tell the browser which {t.name} is shown
web! = BBjAPI().getWebManager()
web!.setTitle("{t.title}")
sysgui! = BBjAPI().getSysGui()
window! = sysgui!.addWindow("{t.title}")
window!.executeAsyncScript("console.log('{t.name} shown')")
window!.setCallback(window!.ON_CLOSE, "on_close")

process_events

on_close:
    release
"""


def _loop(t: Thing) -> str:
    return f"""rem A table of {t.number} after so many months
{t.number} = 100
for month = 1 to 12
    {t.number} = round({t.number} * 1.02, 2)
    print "month ", month, ": ", {t.number}
next month
"""


def _error(t: Thing) -> str:
    return f"""rem Open the file of {t.name}s, or say why not
ch = unt
open(ch, err=no_file)"{t.name.upper()}"
print "{t.title}s are here"
close(ch)
end

no_file:
    print "no {t.name}s: error ", err
    end
"""


PATTERNS = (
    Pattern(
        "window", "gui", MODERN, "basic",
        "Write a BBj program with a window where the {text} of a {name} can be typed and saved.",
        "A window with an edit box opens; Save shows what was typed, closing the window ends it.",
        "`addWindow` makes the window, `setCallback` connects the button and the close event with "
        "labels, and `process_events` waits for them.",
        _window, _window_old,
    ),
    Pattern(
        "list", "gui", MODERN, "intermediate",
        "Show all {name}s in a BBj list box and print the one that is selected.",
        "A window with a list opens; selecting an entry prints it.",
        "The items are a BBjVector; the event's `getSelectedIndex()` tells which one was chosen.",
        _list,
    ),
    Pattern(
        "class", "classes", ("all",), "intermediate",
        "Write a BBj class for a {name} with its {text} and its {number}.",
        "An object keeps both values and gives them back through its methods.",
        "`field private` keeps the values, `#` reaches a field of this object, `methodret` "
        "returns, and `methodend` and `classend` close what was opened.",
        _class,
    ),
    Pattern(
        "read", "file-io", ("all",), "intermediate",
        "Read all {name}s from their file in BBj and print the sum of their {number}.",
        "The sum of the field over all records is printed.",
        "`unt` gives a free channel, the template names the fields, and `end=*break` leaves the "
        "loop after the last record.",
        _read,
    ),
    Pattern(
        "screen", "character", ("character",), "basic",
        "Ask for the {text} and the {number} of a {name} on a BBj character screen.",
        "The screen is cleared, two values are asked for at fixed places and printed below.",
        "`'cs'` clears the screen and `@(x,y)` says where to print or to ask.",
        _screen,
    ),
    Pattern(
        "map", "collections", ("all",), "intermediate",
        "Keep the {number} of {name}s by {text} in a map in BBj and print all entries.",
        "Each key is printed with its value.",
        "BBj uses Java's collections: `new java.util.HashMap()`, and an iterator over its keys.",
        _map,
    ),
    Pattern(
        "check", "validation", ("all",), "basic",
        "Refuse a negative {number} of a {name} in BBj with a message box.",
        "A negative number shows an error box and stops the program; any other is printed.",
        "`msgbox` takes a text, flags and a title; `fi` closes the `if`.",
        _check,
    ),
    Pattern(
        "browser", "dwc", ("dwc",), "advanced",
        "Set the browser's title to the {name} that is shown, with BBj in the DWC.",
        "The browser tab carries the title, and the console tells that the window is shown.",
        "`getWebManager()` speaks to the browser; `executeAsyncScript` runs JavaScript there.",
        _browser,
    ),
    Pattern(
        "loop", "control-flow", ("all",), "basic",
        "Print the {number} of a {name} for twelve months in BBj, growing by two percent a month.",
        "Twelve lines are printed, one a month.",
        "`for` and `next` count the months, `round` keeps two places.",
        _loop,
    ),
    Pattern(
        "error", "file-io", ("all",), "intermediate",
        "Open the file of {name}s in BBj and say so when it is missing.",
        "Either the file is said to be here, or the number of the error is printed.",
        "`err=` names the label that BBj goes to when opening fails; `err` holds the number of "
        "the error.",
        _error,
    ),
)  # fmt: skip
