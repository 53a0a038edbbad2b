//! The storage contract, its key codec, the memory backend and the suite every backend passes.
