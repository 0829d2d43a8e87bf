"""Numbers that say how good a recogniser is: pure functions on labels, scores, events and truth.

No network, no file and no drawing. Streams are never joined before they are measured: each is judged by itself. What is
added over streams is counts, or ticks in one ranking; every function says which. A number that is not defined (a class
that does not happen has no average precision) is None, never NaN and never a stand-in.
"""
