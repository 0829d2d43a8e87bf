"""From a trained Keras network to a bundle that runs without TensorFlow, proven equal to it."""
