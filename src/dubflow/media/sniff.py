"""What a file is by its first bytes, whatever it is called, and which files are refused before a demuxer sees them.

Only containers on the list below are ever handed to a demuxer, each by name: formats whose demuxers open further
addresses (HLS, DASH, concat scripts, SDP, image sequences, device inputs) are not on it and cannot be reached.
"""

from __future__ import annotations

from dubflow.errors import BadInput

HEAD_BYTES = 4096

# First bytes of texts that name other files or addresses.
_PLAYLIST_STARTS = (
    b"#extm3u", b"#ext-x-", b"ffconcat", b"file ", b"file:", b"[playlist]", b"v=0\r", b"v=0\n", b"<mpd", b"<asx",
    b"<smil", b"rtsptext", b"[reference]", b"<smoothstreamingmedia", b"http://", b"https://", b"rtsp://", b"rtmp://",
)  # fmt: skip
_PLAYLIST_ROOTS = (b"<mpd", b"<smoothstreamingmedia", b"<asx", b"<smil", b"<playlist")

_ARCHIVE_STARTS = (
    b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"7z\xbc\xaf\x27\x1c",
    b"Rar!\x1a\x07", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18", b"MSCF",
)  # fmt: skip

_STARTS: tuple[tuple[bytes, str], ...] = (
    (b"\x1a\x45\xdf\xa3", "matroska"),
    (b"OggS", "ogg"),
    (b"fLaC", "flac"),
    (b"FLV\x01", "flv"),
    (b"\x89PNG\r\n\x1a\n", "png_pipe"),
    (b"\xff\xd8\xff", "jpeg_pipe"),
    (b"\x00\x00\x01\xba", "mpeg"),
    (b"\x00\x00\x01\xb3", "mpegvideo"),
    (b"ID3", "mp3"),
    (b".snd", "au"),
    (b"caff", "caf"),
)
_RIFF_FORMS = {b"WAVE": "wav", b"AVI ": "avi", b"WEBP": "webp_pipe"}
_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"moof", b"styp", b"sidx", b"uuid")
_TS_PACKET = 188


def sniff(head: bytes, name: str) -> str:
    """Name of the demuxer for a file that begins with ``head`` (its first :data:`HEAD_BYTES`).

    Args:
        head: the beginning of the file. name: what to call it in an error.

    Raises:
        BadInput: ``media.playlist``, ``media.archive``, ``media.not_media``.
    """
    known = _container(head)
    if known is not None:
        return known
    if _is_playlist(head):
        raise BadInput(
            "media.playlist",
            f"{name} is a playlist or a script that names other files, not a clip.",
            "Give the clip itself; nothing that a file names is ever opened.",
        )
    if head.startswith(_ARCHIVE_STARTS) or head[257:262] == b"ustar":
        raise BadInput("media.archive", f"{name} is an archive.", "Unpack it and give the clip inside.")
    raise BadInput(
        "media.not_media",
        f"{name} is not a clip in any format that is read here.",
        "Use MP4, MOV, Matroska, WebM, AVI, MPEG, FLV, Ogg, WAV, AIFF, AU, CAF, FLAC, MP3, AAC, PNG, JPEG or WebP.",
    )


def _container(head: bytes) -> str | None:
    for start, demuxer in _STARTS:
        if head.startswith(start):
            return demuxer
    if head[:4] in (b"RIFF", b"RF64"):
        return _RIFF_FORMS.get(head[8:12])
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return "aiff"
    if head[4:8] in _MP4_BOXES:
        return "mov"
    if _is_transport_stream(head):
        return "mpegts"
    return _bare_audio(head)


def _is_playlist(head: bytes) -> bool:
    text = head.lstrip(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(b"file type ="):
        return False  # a Praat TextGrid, which begins like a concat script
    if text.startswith(_PLAYLIST_STARTS):
        return True
    # An XML playlist may begin with a declaration and comments.
    return text.startswith((b"<?xml", b"<!--")) and any(root in text for root in _PLAYLIST_ROOTS)


def _is_transport_stream(head: bytes) -> bool:
    return len(head) > 3 * _TS_PACKET and all(head[i * _TS_PACKET] == 0x47 for i in range(4))


def _bare_audio(head: bytes) -> str | None:
    """MPEG audio (MP2, MP3) or ADTS AAC without a header: two frames in a row that announce the same parameters."""
    if len(head) < 8 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    if head[1] & 0xF6 == 0xF0:
        length, demuxer = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5, "aac"
    else:
        length, demuxer = _mpeg_audio_frame_bytes(head), "mp3"
    following = head[length : length + 2]
    same = len(following) == 2 and following[0] == 0xFF and following[1] == head[1]
    # A file of a single frame, or one whose first frame is longer than the head, has nothing to compare with.
    return demuxer if length > 4 and (same or length >= len(head) - 1) else None


_KBITS_V1 = {
    3: (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    2: (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    1: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
}
_KBITS_V2 = {
    3: (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    1: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_HERTZ_V1 = (44100, 48000, 32000)


def _mpeg_audio_frame_bytes(head: bytes) -> int:
    """Length of the first MPEG audio frame (ISO/IEC 11172-3 and 13818-3); 0 when the header cannot be one."""
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    rate_index, hertz_index, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if version == 1 or layer == 0 or rate_index == 15 or hertz_index == 3:
        return 0
    kbits = (_KBITS_V1 if version == 3 else _KBITS_V2)[layer][rate_index]
    hertz = _HERTZ_V1[hertz_index] >> {3: 0, 2: 1, 0: 2}[version]
    if layer == 3:
        return (12000 * kbits // hertz + padding) * 4
    samples = 576 if layer == 1 and version != 3 else 1152
    return samples // 8 * 1000 * kbits // hertz + padding
