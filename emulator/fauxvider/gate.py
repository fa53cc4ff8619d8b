"""interim; replaced by the real gate"""
from __future__ import annotations
from decimal import Decimal
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl
import orjson
class JsonRefusedError(ValueError): pass
class MultipartRefusedError(ValueError): pass
@dataclass
class Part:
    name: str; filename: Any; media_type: str; data: bytes
def parse_json(b):
    try: return orjson.loads(b)
    except Exception as e: raise JsonRefusedError(str(e)) from None
def _d(v):
    if isinstance(v, Decimal): return orjson.Fragment(format(v,'f').encode())
    raise TypeError(type(v))
def dump_json(t): return orjson.dumps(t, default=_d, option=orjson.OPT_NON_STR_KEYS)
def parse_query(q):
    d={}
    for k,v in parse_qsl(q.decode('latin-1'), keep_blank_values=True): d.setdefault(k,v)
    return d
def parse_multipart(ct, body, *, max_parts, max_part):
    import re
    m=re.search('boundary="?([^";]+)', ct)
    if not m: raise MultipartRefusedError('no boundary')
    parts=[]
    for chunk in body.split(b'--'+m[1].encode())[1:-1]:
        head,_,data=chunk.partition(b'\r\n\r\n')
        n=re.search(rb'name="([^"]*)"',head); f=re.search(rb'filename="([^"]*)"',head); t=re.search(rb'(?i)content-type: *([^\r]+)',head)
        parts.append(Part(n[1].decode() if n else '', f[1].decode() if f else None, t[1].decode() if t else 'application/octet-stream', data[:-2]))
    return parts
