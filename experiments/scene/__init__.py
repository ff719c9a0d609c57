"""Do whole scenes show their tiles, what do they cost in memory, and what is a filled cloud worth?"""
