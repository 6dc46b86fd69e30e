"""What a fund did, told for people: gathered from records, worked out, drawn, written down."""
