"""The camera simulator: traffic with known truth, its sightings and pictures, and the score of what is made of them."""
