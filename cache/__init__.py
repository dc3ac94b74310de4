"""The shared HDF5 store of features: schema, fingerprints, writing, reading."""
