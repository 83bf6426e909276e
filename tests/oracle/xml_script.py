"""Reads documents, one a line as base64, with expat; answers each with its tree as JSON, or null when it is none."""

import base64
import json
import sys
import xml.parsers.expat


def tree(data):
    parser = xml.parsers.expat.ParserCreate("UTF-8")
    stack = [["", "", []]]

    def start(name, _):
        stack.append([name, "", []])

    def end(_):
        element = stack.pop()
        stack[-1][2].append(element)

    def text(data):
        stack[-1][1] += data

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    try:
        parser.Parse(data, True)
    except xml.parsers.expat.ExpatError:
        return None
    return stack[0][2][0]


for line in sys.stdin:
    print(json.dumps(tree(base64.b64decode(line))))
