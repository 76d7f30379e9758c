"""The secrets of the apps, for those that need nothing else of the conformance tests."""

from __future__ import annotations

from typing import Final

SECRET: Final = "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"
OLD: Final = "8Kx2Wm5Rt9Yb3Nc6Vf1Zq4Hs"
WHSEC: Final = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
