"""Reports on a distillation: what is compared, and the calibration weights of the teacher's layers."""
