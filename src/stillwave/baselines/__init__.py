"""What needs no training, to stand beside what does: one channel, a fixed beam, an adaptive one."""
