"""Names that the compiler knows without a definition."""

_LANGUAGE = """
    Infinity NaN undefined null true false eval uneval isFinite isNaN parseFloat parseInt decodeURI
    decodeURIComponent encodeURI encodeURIComponent escape unescape Object Function Boolean Symbol
    Error EvalError InternalError RangeError ReferenceError SyntaxError TypeError URIError Number
    Math Date String RegExp Array Int8Array Uint8Array Uint8ClampedArray Int16Array Uint16Array
    Int32Array Uint32Array Float32Array Float64Array Map Set WeakMap WeakSet Promise Generator
    GeneratorFunction AsyncFunction Reflect Proxy arguments this super ArrayBuffer
    SharedArrayBuffer Atomics DataView JSON __dirname
""".split()
_BROWSER = "setTimeout setInterval alert prompt fetch document console window history".split()
_TESTS = "test expect".split()

# Keys that every JavaScript object has: the compiler takes them for known names, and fails when a
# program makes one of them.
UNUSABLE = frozenset(
    """
    constructor hasOwnProperty isPrototypeOf propertyIsEnumerable toLocaleString toString valueOf
    __defineGetter__ __defineSetter__ __lookupGetter__ __lookupSetter__ __proto__
    """.split()
)
BUILTIN = frozenset(_LANGUAGE + _BROWSER + _TESTS) | UNUSABLE
