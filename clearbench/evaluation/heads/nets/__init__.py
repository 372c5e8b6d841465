"""The networks of the heads: bags and a mask → logits and attention."""
