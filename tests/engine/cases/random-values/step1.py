"""A password, a name and a number drawn once."""

import pulumi
import pulumi_random as random

token = random.RandomPassword("token", length=24, special=False, min_numeric=2)
host = random.RandomPet("host", length=2)
tag = random.RandomId("tag", byte_length=3, keepers={"generation": "first"})
word = random.RandomString("word", length=6, upper=False)
pulumi.export("token", token.result)
pulumi.export("letters", word.result.apply(len))
