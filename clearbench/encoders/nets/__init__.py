"""The three networks of LeCL, in any size, and the selective scan of one of them."""
