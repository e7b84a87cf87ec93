"""Where what users said is kept: one interface, several engines."""

from meshwright.store.interface import (
    Change,
    MeshHead,
    MeshState,
    RevisionConflictError,
    SignatureSpentError,
    SpentSignature,
    Store,
    StoredAnswer,
    StoreError,
    StoreLimitError,
)
from meshwright.store.opening import open_store

__all__ = [
    "Change",
    "MeshHead",
    "MeshState",
    "RevisionConflictError",
    "SignatureSpentError",
    "SpentSignature",
    "Store",
    "StoreError",
    "StoreLimitError",
    "StoredAnswer",
    "open_store",
]
