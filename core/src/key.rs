//! What a key tells about its task: prefix and group (Dask's `key_split` and `key_split_group`).
