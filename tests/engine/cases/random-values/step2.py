"""Another generation of the number, a longer word, no name any more; the password stays what it is."""

import pulumi
import pulumi_random as random

token = random.RandomPassword("token", length=24, special=False, min_numeric=2)
tag = random.RandomId("tag", byte_length=3, keepers={"generation": "second"})
word = random.RandomString("word", length=9, upper=False)
pulumi.export("token", token.result)
pulumi.export("letters", word.result.apply(len))
