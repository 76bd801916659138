"""Released weights under a published protocol: is the published number inside our interval?"""
