"""From cached features to a trained model: heads, gate, fusion, metrics."""
