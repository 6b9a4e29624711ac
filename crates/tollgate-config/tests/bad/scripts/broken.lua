return {
    a = ,
}
