"""The three networks of LeCL, in any size, and the selective scan that one of them needs."""
