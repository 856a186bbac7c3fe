"""Which of the 478 mesh points is what.

"Left" and "right" are those of the picture, not of the person: the left eye is the one with the smaller x on an
upright face that is not mirrored.
"""

from __future__ import annotations

import numpy as np

# Corners of the eyes in the order left outer, left inner, right inner, right outer.
EYE_CORNERS = (33, 133, 362, 263)
OUTER_EYE_CORNERS = (33, 263)

# Corners of the mouth, on the outer edge of the lips.
MOUTH_CORNERS = (61, 291)

# Middle of the upper and of the lower lip's inner edge: three columns, left to right.
UPPER_LIP_INNER = (82, 13, 312)
LOWER_LIP_INNER = (87, 14, 317)

# Closed rings, clockwise in the picture from the left corner of the mouth.
OUTER_LIPS = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146)
INNER_LIPS = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95)

FOREHEAD = 10
CHIN = 152

# The iBUG 300-W order of 68 points (Sagonas et al., "300 Faces in-the-Wild", 2013), each with the nearest mesh point:
# jaw 0-16, left brow 17-21, right brow 22-26, bridge 27-30, nostrils 31-35, left eye 36-41, right eye 42-47, outer lips
# 48-59, inner lips 60-67. No mesh point is an iBUG point by definition (iBUG's jaw is the visible outline, the mesh's
# is fixed on the skin), so measures on these 68 compare with each other, not digit by digit with another landmarker.
# fmt: off
MESH_TO_68 = np.array([
    127, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 356,
    70, 63, 105, 66, 107,
    336, 296, 334, 293, 300,
    168, 197, 5, 4,
    98, 97, 2, 326, 327,
    33, 160, 158, 133, 153, 144,
    362, 385, 387, 263, 373, 380,
    61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91,
    78, 82, 13, 312, 308, 317, 14, 87,
])
# fmt: on

# In the same order, the point that each of the 68 becomes when the picture is mirrored.
# fmt: off
MIRROR_68 = np.array([
    16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0,
    26, 25, 24, 23, 22, 21, 20, 19, 18, 17,
    27, 28, 29, 30,
    35, 34, 33, 32, 31,
    45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
    54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55,
    64, 63, 62, 61, 60, 67, 66, 65,
])
# fmt: on

# Points that speech hardly moves: base of the nose and the eye corners (33, 36, 39, 42, 45 of the 68), which the public
# lip-reading pipelines align faces by.
STABLE_68 = (33, 36, 39, 42, 45)
STABLE = tuple(int(MESH_TO_68[index]) for index in STABLE_68)
