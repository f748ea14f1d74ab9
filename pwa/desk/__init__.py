"""What the call desk offers: lines of its list, and to whom a call goes."""
