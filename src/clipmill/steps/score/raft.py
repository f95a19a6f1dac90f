"""Optical flow by RAFT (Teed and Deng 2020, arXiv:2003.12039), as an ONNX network."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from clipmill.core.errors import InputError
from clipmill.core.extras import require
from clipmill.steps.score.opencv import opencv
from clipmill.steps.weights import weights_file

Array = np.ndarray[Any, Any]

RAFT = "hf://opencv/optical_flow_estimation_raft/optical_flow_estimation_raft_2023aug.onnx"
"""RAFT of OpenCV's model zoo, trained on Sintel; it sees 480x360 pixels."""
_ASKED = {"extra": "raft", "used_by": "raft, a detector of step 'flow',"}
_MULTIPLE = 8


class Raft:
    """A network that takes two RGB pictures and gives the flow from one to the other.

    Args:
        weights: see ``weights_file``. An ONNX file with two inputs, float32 ``(1, 3, H, W)`` of 0
            to 255, and an output ``(1, 2, H, W)`` in pixels, x first. Sides that it leaves open
            are made multiples of 8.

    Raises:
        InputError: there is no such file, or it is no such network.
        MissingExtra: a library is not installed.
    """

    def __init__(self, weights: str) -> None:
        runtime: Any = require("onnxruntime", **_ASKED)
        options = runtime.SessionOptions()
        options.intra_op_num_threads = 1  # media processes use the cores already
        options.log_severity_level = 3
        wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
        has = runtime.get_available_providers()
        path = weights_file(weights, **_ASKED)
        try:
            self._session = runtime.InferenceSession(
                str(path), options, providers=[name for name in wanted if name in has]
            )
        except Exception as error:  # onnxruntime's own have no common base
            raise InputError(f"{weights} cannot be loaded by onnxruntime: {error}") from error
        inputs = self._session.get_inputs()
        shapes = [given.shape for given in inputs]
        if len(shapes) != 2 or any(len(shape) != 4 for shape in shapes):
            raise InputError(f"{weights} is no RAFT: it takes {shapes}, not two pictures.")
        self._names = [given.name for given in inputs]
        self._sides = [side if isinstance(side, int) else None for side in shapes[0][2:]]

    def flow(self, before: Array, after: Array) -> Array:
        """The flow between two pictures.

        Args:
            before: uint8 ``(H, W, 3)``, RGB.
            after: likewise.

        Returns:
            float32 ``(H, W, 2)``, in pixels, x first.
        """
        cv2 = opencv()
        height, width = before.shape[:2]
        seen_height, seen_width = (
            fixed or max(_MULTIPLE, round(side / _MULTIPLE) * _MULTIPLE)
            for fixed, side in zip(self._sides, (height, width), strict=True)
        )
        pictures = [
            cv2.resize(picture, (seen_width, seen_height)).transpose(2, 0, 1)[None]
            for picture in (before, after)
        ]
        given = zip(self._names, pictures, strict=True)
        outputs = self._session.run(None, {name: one.astype(np.float32) for name, one in given})
        # Networks give the flow at an eighth of the size, too, in no certain order.
        flow = max(outputs, key=np.size)[0].transpose(1, 2, 0)
        scale = np.array([width / seen_width, height / seen_height], np.float32)
        found: Array = cv2.resize(flow, (width, height)) * scale
        return found


@cache
def raft(weights: str) -> Raft:
    """The network of these weights, loaded once per process."""
    return Raft(weights)
