"""Questions about Blop that are answered in English, written by hand.

Each entry: the ways to ask, the answer. The facts were taken from the public language and tried
with its compiler.
"""

from recipes.blop.pairs import Pair

_BLOP = (
    "Blop is a programming language for the web. It builds virtual DOM trees with an HTML-like "
    "syntax inside of functions, and it compiles to JavaScript."
)

EXPLANATIONS: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        (
            "What is Blop?",
            "What is the Blop language?",
            "What is Blop",
            "Tell me about Blop.",
            "Explain what Blop is.",
            "Can you tell me what the Blop language is?",
            "Describe the Blop programming language.",
            "Do you know Blop?",
        ),
        _BLOP,
    ),
    (
        ("Who made Blop?", "Who is the author of the Blop language?"),
        "Blop was made by Batiste Bieler.",
    ),
    (
        ("What does Blop compile to?", "What is the output of the Blop compiler?"),
        "Blop compiles to JavaScript that runs in the browser or in Node.",
    ),
    (
        (
            "How is Blop different from JSX?",
            "What is the difference between Blop and React?",
            "Is Blop the same as JSX?",
        ),
        "In JSX a tag is an expression inside JavaScript. In Blop tags are statements, so loops "
        "and conditions stand directly between tags, without curly braces around values.",
    ),
    (
        ("What renders Blop components?", "What does Blop use for its virtual DOM?"),
        "Blop uses snabbdom to render its virtual DOM.",
    ),
    (
        ("What is a component in Blop?", "How do you define a component in Blop?"),
        "A component in Blop is a function that takes attributes and holds one root tag. Its name "
        "begins with a capital letter.",
    ),
    (
        ("How do I return HTML from a Blop function?", "Do I need return for a tag in Blop?"),
        "A tag that stands in the body of a function is its result. You do not write return.",
    ),
    (
        ("How do I read an attribute in Blop?", "How does a Blop component get its attributes?"),
        "The first parameter of a component is the object attributes. Write attributes.name to "
        "read the attribute name.",
    ),
    (
        ("How do I render children in Blop?", "How does a Blop component get its children?"),
        "The second parameter of a component is children. Write = children inside a tag to render "
        "them.",
    ),
    (
        (
            "What is the third parameter of a Blop component?",
            "What is node in a Blop component?",
            "What is the node argument for in Blop?",
        ),
        "The third parameter is node. It has the methods mount and unmount for code that runs when "
        "the component is added or removed.",
    ),
    (
        ("How do loops work in Blop?", "How do you write a loop in Blop?"),
        "Write for item in items and a block in curly braces. The tags inside of the block are "
        "rendered once for each item. With for index, item in items you get the index too.",
    ),
    (
        ("How do conditions work in Blop?", "How does conditional rendering work in Blop?"),
        "Write if with a condition and a block in curly braces, then elseif and else if you need "
        "them. The tags inside of the block are rendered if the condition holds.",
    ),
    (
        ("How do I declare a variable in Blop?", "How do variables work in Blop?"),
        "Write the name, an equal sign with spaces around it, and the value. There is no let and "
        "no const.",
    ),
    (
        (
            "How do I change a variable in Blop?",
            "What does := mean in Blop?",
            "What is the explicit assignment in Blop?",
        ),
        "The sign := gives a new value to a variable that exists. The sign = makes a new variable, "
        "and a second = for the same name is an error.",
    ),
    (
        (
            "Why does the Blop compiler say that a name is redefined?",
            "What is a redefinition error in Blop?",
        ),
        "The name was declared twice in the scope with =. Use := to give it a new value, or use "
        "another name.",
    ),
    (
        ("How do events work in Blop?", "How do I handle a click in Blop?"),
        "Give the tag an on attribute with an object, such as on={ click: handleClick }. The key "
        "is the event and the value is a function.",
    ),
    (
        ("How do I show a value in Blop?", "How do I print a variable inside of a tag in Blop?"),
        "Put the value between the tags, or write = and the value on a line of its own inside of a "
        "tag.",
    ),
    (
        ("How do I join text and values in Blop?", "How does string concatenation work in Blop?"),
        "Write strings and values side by side, such as 'Hello 'name'!'. The text has to begin and "
        "end with a string.",
    ),
    (
        ("Does Blop need semicolons?", "Are there semicolons in Blop?"),
        "No. A line break ends a statement in Blop.",
    ),
    (
        ("Does white space matter in Blop?", "Are spaces important in Blop?"),
        "Yes. Operators and the equal sign of an assignment need exactly one space on each side, "
        "and attributes have no space around their equal sign.",
    ),
    (
        ("How do I write a string in Blop?", "Which quotes can I use in Blop?"),
        "Strings stand in single quotes, double quotes or backticks.",
    ),
    (
        ("How do I import in Blop?", "How do imports work in Blop?"),
        "Write import { Name } from './file.blop'. The names of a Blop file are exported without "
        "further ado.",
    ),
    (
        ("How do I export from a Blop file?", "Does Blop have an export keyword?"),
        "There is no export keyword. The top level names of a Blop file are exported.",
    ),
    (
        ("How do I write an async function in Blop?", "Does Blop have async and await?"),
        "Write async def before the name of the function and await before a promise inside of it.",
    ),
    (
        ("How do I define a function in Blop?", "How do functions work in Blop?"),
        "Write def, the name, the parameters in round brackets and the body in curly braces. A "
        "function without tags uses return.",
    ),
    (
        ("Does Blop have arrow functions?", "How do I write an arrow function in Blop?"),
        "Yes. Write the parameters in round brackets, then => and an expression or a block.",
    ),
    (
        ("Does Blop have classes?", "How do I write a class in Blop?"),
        "Yes. Write class and the name, and def for each method inside of the curly braces.",
    ),
    (
        ("Does Blop have types?", "What are annotations in Blop?"),
        "Blop has optional annotations, such as attributes: object. The compiler can use them to "
        "warn about mistakes.",
    ),
    (
        ("How do I set a CSS class in Blop?", "Can the class attribute be an object in Blop?"),
        "Use class=\"card\" for a fixed class, or an object such as class={ 'active': isActive } "
        "for a class that depends on a condition.",
    ),
    (
        ("How do I set a style in Blop?", "How do inline styles work in Blop?"),
        "Give the tag a style object, such as style={ color: 'red' }.",
    ),
    (
        ("How do I write a comment in Blop?", "What do comments look like in Blop?"),
        "Comments begin with two slashes, as in JavaScript.",
    ),
    (
        ("How many root tags can a Blop component have?", "Can I return two tags in Blop?"),
        "One. Put several tags into a div to return them together.",
    ),
    (
        ("What is the ternary operator in Blop?", "How do I write an inline if in Blop?"),
        "Write if condition => value else other. The else part may be left out.",
    ),
    (
        ("How does Blop compare values?", "What does == mean in Blop?"),
        "The sign == compares without conversion, because it compiles to === in JavaScript.",
    ),
    (
        ("How do I close a tag without children in Blop?", "How do I write an img tag in Blop?"),
        "End the tag with a space and />, such as <img src=url />.",
    ),
    (
        ("Can I use JavaScript functions in Blop?", "Can Blop use JavaScript packages?"),
        "Yes. Blop compiles to JavaScript, and you can import and call JavaScript functions.",
    ),
    (
        ("Can Blop tags be nested?", "How do I nest tags in Blop?"),
        "Yes. Put the inner tag on a line of its own between the opening and the closing tag.",
    ),
    (
        ("What can you do?", "What can you help me with?"),
        "I can write components and functions in Blop and answer questions about the language.",
    ),
    (("Hello", "Hi", "Hello!", "Hi there"), "Hello! I can write components in Blop."),
    (
        ("Who are you?", "What are you?"),
        "I am a small language model that was tuned to write Blop.",
    ),
    (("Thank you", "Thanks!"), "You are welcome!"),
)


def explanation_pairs() -> list[Pair]:
    """One pair for every way to ask."""
    return [
        Pair(question, answer, code=False)
        for questions, answer in EXPLANATIONS
        for question in questions
    ]
