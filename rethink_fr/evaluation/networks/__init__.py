"""Networks with published weights that evaluation measures with."""
